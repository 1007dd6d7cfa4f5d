-- What the detector says of transactions, and what people make of it.

ALTER TABLE transactions ADD COLUMN score BIGINT; -- how odd: thousandths of a natural logarithm; none while unscored
ALTER TABLE transactions ADD COLUMN model_id UUID; -- which model says so; all zero for the one that everybody starts with

CREATE TABLE unscored (                  -- recorded while the detector could not say anything
  tenant_id UUID NOT NULL, transaction_id UUID NOT NULL,
  source_id UUID NOT NULL,
  PRIMARY KEY (tenant_id, transaction_id),
  FOREIGN KEY (tenant_id, transaction_id) REFERENCES transactions (tenant_id, id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);

CREATE TABLE detector_models (           -- every one that was ever in force; a score names its own
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  rows BIGINT NOT NULL,                  -- that it was fitted to
  rows_from BIGINT NOT NULL,             -- when the first of these happened, and the last
  rows_until BIGINT NOT NULL,
  body BYTEA NOT NULL,                   -- the artefact
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
); -- keeps its rowid: an artefact has 200 kB

CREATE TABLE detectors (
  tenant_id UUID NOT NULL,
  model_id UUID NOT NULL,                -- in force; all zero for the one that everybody starts with
  alerts_per_million BIGINT NOT NULL,    -- of all transactions, how many are wanted to alert
  most_alerts_a_day BIGINT NOT NULL,
  PRIMARY KEY (tenant_id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE detector_memories (         -- what the features remember, so that a start need not read all history
  tenant_id UUID NOT NULL,
  body BYTEA NOT NULL,                   -- compressed
  remembers_until UUID NOT NULL,         -- the last transaction that is in it
  saved_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
); -- keeps its rowid: a memory has megabytes

CREATE TABLE anomaly_cases (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  kind TEXT NOT NULL,                    -- TRANSACTIONS SOURCE RETURNS
  state TEXT NOT NULL,                   -- OPEN CONFIRMED FALSE_ALARM UNSURE
  source_id UUID NOT NULL,
  product TEXT, player BYTEA,            -- who or what it is about
  window_start BIGINT NOT NULL,          -- the day (UTC) of the transactions in it
  window_end BIGINT NOT NULL,
  transactions BIGINT NOT NULL,
  score BIGINT NOT NULL,                 -- of the oddest one
  reasons TEXT NOT NULL,                 -- JSON; why that one is odd
  model_id UUID NOT NULL,
  raised_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  mailed_at BIGINT,                      -- when risk staff were told, or need not be
  reviewed_at BIGINT,
  reviewed_by UUID,
  note TEXT,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);
CREATE INDEX anomaly_cases_window ON anomaly_cases (tenant_id, source_id, window_start);
CREATE INDEX anomaly_cases_mailed ON anomaly_cases (tenant_id, mailed_at);

CREATE TABLE anomaly_case_transactions (
  tenant_id UUID NOT NULL, case_id UUID NOT NULL, transaction_id UUID NOT NULL,
  score BIGINT NOT NULL,
  reasons TEXT NOT NULL,                 -- JSON
  PRIMARY KEY (tenant_id, case_id, transaction_id),
  FOREIGN KEY (tenant_id, case_id) REFERENCES anomaly_cases (tenant_id, id),
  FOREIGN KEY (tenant_id, transaction_id) REFERENCES transactions (tenant_id, id)
);

CREATE TABLE anomaly_verdicts (          -- every one, also those that were changed: the detector will learn from them
  tenant_id UUID NOT NULL, case_id UUID NOT NULL, id UUID NOT NULL,
  verdict TEXT NOT NULL,
  note TEXT,
  given_by UUID,
  given_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, case_id, id),
  FOREIGN KEY (tenant_id, case_id) REFERENCES anomaly_cases (tenant_id, id)
);

CREATE TABLE holds (                     -- lines set aside until a person releases them
  tenant_id UUID NOT NULL, settlement_id UUID NOT NULL,
  rate_class TEXT NOT NULL, case_id UUID NOT NULL,
  placed_at BIGINT NOT NULL,
  released_at BIGINT,
  PRIMARY KEY (tenant_id, settlement_id, rate_class, case_id),
  FOREIGN KEY (tenant_id, settlement_id) REFERENCES settlements (tenant_id, id),
  FOREIGN KEY (tenant_id, case_id) REFERENCES anomaly_cases (tenant_id, id)
);

CREATE TABLE jobs (                      -- work that is done beside requests, and again where it failed
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  kind TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  run_at BIGINT NOT NULL,                -- not before
  leased_until BIGINT,                   -- whoever works on it has until then
  attempts BIGINT NOT NULL,
  failed_at BIGINT,                      -- given up
  error TEXT,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);
CREATE INDEX jobs_run_at ON jobs (tenant_id, run_at);
