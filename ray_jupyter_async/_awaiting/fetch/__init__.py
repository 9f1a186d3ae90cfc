"""Where values come from: sessions, readiness, and the threads that read."""
