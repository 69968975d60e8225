"""Ask for configurations, tell results: the engine's decisions without the engine's backends."""

from offbeat.asktell.concurrent import AsyncAskTell as AsyncAskTell
from offbeat.asktell.inline import AskTell as AskTell
from offbeat.asktell.trial import AllOut as AllOut
from offbeat.asktell.trial import AskedTrial as AskedTrial
from offbeat.asktell.trial import Decision as Decision
from offbeat.asktell.trial import StudyClosed as StudyClosed
from offbeat.asktell.trial import TrialNotOut as TrialNotOut
