"""Many videos from one list: reads and checks it, makes what is not made yet, and says what became of each row."""
