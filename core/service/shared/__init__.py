"""What several machines share in place of files and sockets of one machine: jobs in PostgreSQL, news and rates in Redis, files in S3."""
