"""For authors of plugins: conformance suites, a backend in simulated time, faults, histories, a recording observer.

    offbeat.testing.scheduler_suite.SchedulerContract    subclass these in your tests
    offbeat.testing.backend_suite.BackendContract
    offbeat.testing.observer_suite.ObserverContract
    offbeat.testing.scripted      trials that follow a script, without processes and without waiting
    offbeat.testing.rehearsal     a whole experiment in memory
    offbeat.testing.faults        what can go wrong with reports and trials
    offbeat.testing.histories     curves and legal journals from a seed
    offbeat.testing.recording     an observer that keeps what it is told

Neither pytest nor hypothesis is needed to import any of them.
"""
