package main

// startCommand is what brings the daemon back in this installation.
func (e *env) startCommand() string { return "hostless proxy start" }
