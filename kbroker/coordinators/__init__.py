"""Group and transaction coordinators: pure state machines over an internal topic, and the shell around each."""
