"""What several machines share in place of a file and sockets of one machine: jobs in PostgreSQL, news and rates in Redis."""
