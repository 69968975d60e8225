"""The journal: every fact of an experiment, appended group by group, hash-chained, read back on resume."""

from offbeat.journal.digest import decision_digest as decision_digest
from offbeat.journal.format import UnknownEvent as UnknownEvent
from offbeat.journal.lock import Holder as Holder
from offbeat.journal.lock import holder as holder
from offbeat.journal.reader import JournalFollower as JournalFollower
from offbeat.journal.reader import read_journal as read_journal
from offbeat.journal.repair import RepairReport as RepairReport
from offbeat.journal.repair import repair as repair
from offbeat.journal.writer import Journal as Journal
