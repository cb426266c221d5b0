"""One small module per subcommand: does the job, returns a typed result, prints nothing."""
