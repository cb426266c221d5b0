"""One thin file per subcommand: options, service, screen. Nothing heavy is imported before it is needed."""
