CREATE TABLE idempotency_keys (          -- what became of requests that came with a key; kept for seven days
  tenant_id UUID NOT NULL,
  key TEXT NOT NULL,                     -- as the client chose it
  actor_id UUID NOT NULL,                -- the member or API key that sent it; all zero for the operator
  operation TEXT NOT NULL,
  request_hash BYTEA NOT NULL,           -- of the operation and its input
  outcome BYTEA NOT NULL,                -- JSON, sealed with the master key
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, key, actor_id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
); -- keeps its rowid on SQLite: the outcome of a request with a thousand transactions has 100 kB
CREATE INDEX idempotency_keys_created ON idempotency_keys (tenant_id, created_at);
