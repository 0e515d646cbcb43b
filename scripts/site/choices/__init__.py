"""What the chooser asks and answers: its questions, its answers, and the snippets by framework."""
