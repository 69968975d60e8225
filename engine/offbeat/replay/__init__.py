"""The past of an experiment: verified, looked at, taken up again from any event, decided upon by another scheduler."""

from offbeat.replay.counterfactual import Counterfactual as Counterfactual
from offbeat.replay.counterfactual import counterfactual as counterfactual
from offbeat.replay.findings import Difference as Difference
from offbeat.replay.findings import Verification as Verification
from offbeat.replay.forking import Forked as Forked
from offbeat.replay.forking import fork as fork
from offbeat.replay.moment import Moment as Moment
from offbeat.replay.moment import replay as replay
from offbeat.replay.proposing import TOLERANCE as TOLERANCE
from offbeat.replay.sharing import CannotShare as CannotShare
from offbeat.replay.sharing import CheckpointsMissing as CheckpointsMissing
from offbeat.replay.verification import verify as verify
