-- The first schema of Saldo, written once in the types of PostgreSQL; `lib.rs` maps them to SQLite.
-- Rules (ARCHITECTURE.md, "Invariants"): tenant_id is the first column of every key and index; money is BIGINT,
-- in accounting units for transactions and accruals and in minor units for lines and ledger; times are BIGINT
-- microseconds since 1970 UTC; a rate never has a column of its own, it lives as text inside terms.

CREATE TABLE tenants (
  id UUID NOT NULL PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  config_epoch BIGINT NOT NULL,          -- grows with every change that pricing or mapping can see
  player_key BYTEA NOT NULL,             -- sealed; keys the pseudonyms of this tenant's players
  created_at BIGINT NOT NULL
);

CREATE TABLE signing_keys (              -- of the installation, not of a tenant: it signs access tokens
  id TEXT NOT NULL PRIMARY KEY,          -- the `kid`
  private_key BYTEA NOT NULL,            -- PKCS#8, sealed
  created_at BIGINT NOT NULL
);

CREATE TABLE partners (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  reference TEXT NOT NULL,               -- the tenant's own short name for it; breaks ties of splits
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, reference),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE members (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  email TEXT NOT NULL,                   -- lower case
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  partner_id UUID,                       -- set for a partner's user
  password_hash TEXT,                    -- argon2id; absent until the invitation is accepted
  disabled_at BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, email),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id),
  FOREIGN KEY (tenant_id, partner_id) REFERENCES partners (tenant_id, id)
);

CREATE TABLE one_time_tokens (           -- invitations and password resets
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  member_id UUID NOT NULL,
  secret_hash BYTEA NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, member_id) REFERENCES members (tenant_id, id)
);

CREATE TABLE refresh_tokens (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  family_id UUID NOT NULL,               -- one sign-in; reuse of a rotated token revokes the whole family
  member_id UUID NOT NULL,
  secret_hash BYTEA NOT NULL,
  expires_at BIGINT NOT NULL,
  rotated_at BIGINT,
  revoked_at BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, member_id) REFERENCES members (tenant_id, id)
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (tenant_id, family_id);

CREATE TABLE assets (                    -- the tenant's own assets, and ISO currencies whose accounting digits it set
  tenant_id UUID NOT NULL, code TEXT NOT NULL,
  exponent BIGINT NOT NULL,              -- digits of the minor unit
  accounting_exponent BIGINT NOT NULL,   -- digits of the accounting unit, at least `exponent`, at most 8
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, code),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE products (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  code TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, code),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE product_versions (          -- what is true of a product from a date on
  tenant_id UUID NOT NULL, product_id UUID NOT NULL,
  valid_from BIGINT NOT NULL,
  name TEXT NOT NULL,
  category TEXT,
  studio TEXT,
  theoretical_rtp TEXT,                  -- decimal, 0.965 is 96.5 %
  volatility TEXT,                       -- decimal, standard deviation per unit stake
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, product_id, valid_from),
  FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id)
);

CREATE TABLE player_versions (           -- what staff said about a player from a date on; others have no row
  tenant_id UUID NOT NULL, player BYTEA NOT NULL,
  valid_from BIGINT NOT NULL,
  segment TEXT,
  tags TEXT NOT NULL,                    -- JSON array of strings
  test BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, player, valid_from),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE sources (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  partner_id UUID NOT NULL,
  name TEXT NOT NULL,
  mapping_version BIGINT NOT NULL,
  calendar TEXT,                         -- JSON: which days it should deliver; absent means nobody promised any
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, name),
  FOREIGN KEY (tenant_id, partner_id) REFERENCES partners (tenant_id, id)
);
CREATE INDEX sources_partner ON sources (tenant_id, partner_id);

CREATE TABLE source_mappings (
  tenant_id UUID NOT NULL, source_id UUID NOT NULL, version BIGINT NOT NULL,
  mapping TEXT NOT NULL,                 -- JSON as in docs/mapping.md
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, source_id, version),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);

CREATE TABLE source_days (               -- what is known of a day that a source should deliver
  tenant_id UUID NOT NULL, source_id UUID NOT NULL, day BIGINT NOT NULL,   -- days since 1970 in the calendar's zone
  transactions BIGINT NOT NULL,
  signed_off_by UUID,
  signed_off_at BIGINT,
  note TEXT,
  PRIMARY KEY (tenant_id, source_id, day),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);

CREATE TABLE api_keys (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  source_id UUID NOT NULL,
  name TEXT NOT NULL,
  secret_hash BYTEA NOT NULL,
  revoked_at BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);

CREATE TABLE contracts (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  partner_id UUID NOT NULL,
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, partner_id, name),
  FOREIGN KEY (tenant_id, partner_id) REFERENCES partners (tenant_id, id)
);

CREATE TABLE contract_versions (
  tenant_id UUID NOT NULL, contract_id UUID NOT NULL, version BIGINT NOT NULL,
  state TEXT NOT NULL,                   -- DRAFT ACTIVE
  valid_from BIGINT NOT NULL,
  terms TEXT NOT NULL,                   -- JSON, immutable once active
  created_at BIGINT NOT NULL,
  activated_at BIGINT,
  activated_by UUID,
  PRIMARY KEY (tenant_id, contract_id, version),
  FOREIGN KEY (tenant_id, contract_id) REFERENCES contracts (tenant_id, id)
);

CREATE TABLE import_runs (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  source_id UUID NOT NULL,
  mapping_version BIGINT NOT NULL,       -- a run keeps the mapping it began with
  file_name TEXT NOT NULL,
  upload_key TEXT,                       -- the client's own name for the upload, by which it finds an unfinished run
  state TEXT NOT NULL,                   -- RUNNING COMPLETED FAILED
  bytes BIGINT NOT NULL,                 -- durably taken in, always at a record's end: where to resume
  header TEXT,                           -- JSON array of column names, once the header line was read
  records BIGINT NOT NULL,
  emitted BIGINT NOT NULL,               -- records that gave at least one transaction
  ignored BIGINT NOT NULL,
  quarantined BIGINT NOT NULL,
  recorded BIGINT NOT NULL,              -- transactions from here on
  replayed BIGINT NOT NULL,
  conflicting BIGINT NOT NULL,
  error TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);
CREATE INDEX import_runs_source ON import_runs (tenant_id, source_id, state);

CREATE TABLE ingest_blocks (             -- the raw bytes that a source sent, as they came
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  source_id UUID NOT NULL,
  import_run_id UUID,
  file_offset BIGINT NOT NULL,           -- where the block begins in the run's file; 0 otherwise
  raw_length BIGINT NOT NULL,
  sha256 BYTEA NOT NULL,                 -- of the raw bytes
  body BYTEA NOT NULL,                   -- zstd
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id),
  FOREIGN KEY (tenant_id, import_run_id) REFERENCES import_runs (tenant_id, id)
); -- keeps its rowid on SQLite: a search among rows of 100 kB would read each of them whole

CREATE TABLE transactions (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  source_id UUID NOT NULL,
  external_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  affects TEXT,                          -- the base an ADJUSTMENT moves
  amount BIGINT NOT NULL,                -- accounting units
  currency TEXT NOT NULL,
  occurred_at BIGINT NOT NULL,
  settled_at BIGINT,
  reported_at BIGINT,
  recorded_at BIGINT NOT NULL,
  product TEXT,
  player BYTEA,                          -- pseudonym, 16 bytes
  round TEXT,
  round_closed BOOLEAN NOT NULL,
  channel TEXT,
  region TEXT,
  reverses TEXT,                         -- the external id that a ROLLBACK undoes
  attributes TEXT,                       -- JSON object of strings
  note TEXT,
  test BOOLEAN NOT NULL,
  payload_hash BYTEA NOT NULL,
  block_id UUID NOT NULL,
  block_offset BIGINT NOT NULL,
  block_length BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id),
  FOREIGN KEY (tenant_id, block_id) REFERENCES ingest_blocks (tenant_id, id)
);

CREATE TABLE transaction_keys (          -- one fact per external id; apart, so that transactions can be partitioned
  tenant_id UUID NOT NULL, source_id UUID NOT NULL, external_id TEXT NOT NULL,
  transaction_id UUID NOT NULL,
  payload_hash BYTEA NOT NULL,
  PRIMARY KEY (tenant_id, source_id, external_id)
);

CREATE TABLE rollbacks (                 -- a fact is undone once; the named fact may still be on its way
  tenant_id UUID NOT NULL, source_id UUID NOT NULL, reverses TEXT NOT NULL,
  transaction_id UUID NOT NULL,          -- the ROLLBACK
  matched BOOLEAN NOT NULL,
  PRIMARY KEY (tenant_id, source_id, reverses)
);
CREATE INDEX rollbacks_pending ON rollbacks (tenant_id, source_id, matched);

CREATE TABLE rounds (                    -- written when a fact says that its round is closed
  tenant_id UUID NOT NULL, source_id UUID NOT NULL, round TEXT NOT NULL, player BYTEA NOT NULL,
  closed_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, source_id, round, player)
);

CREATE TABLE waiting (                   -- facts whose contract counts them when their round closes
  tenant_id UUID NOT NULL, source_id UUID NOT NULL, round TEXT NOT NULL, player BYTEA NOT NULL,
  contract_id UUID NOT NULL, transaction_id UUID NOT NULL,
  PRIMARY KEY (tenant_id, source_id, round, player, contract_id, transaction_id)
);

CREATE TABLE unpriced (                  -- facts that no contract counts, or that one could not
  tenant_id UUID NOT NULL, transaction_id UUID NOT NULL, contract_id UUID NOT NULL,  -- all zero: no contract covers it
  source_id UUID NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (tenant_id, transaction_id, contract_id)
);
CREATE INDEX unpriced_contract ON unpriced (tenant_id, contract_id);

CREATE TABLE conflicts (                 -- another content under a known external id: kept, never an overwrite
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  source_id UUID NOT NULL,
  external_id TEXT NOT NULL,
  transaction_id UUID NOT NULL,          -- the fact that stands
  import_run_id UUID,
  payload_hash BYTEA NOT NULL,
  differences TEXT NOT NULL,             -- JSON array: field, recorded, received
  block_id UUID NOT NULL, block_offset BIGINT NOT NULL, block_length BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, source_id, external_id, payload_hash),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);

CREATE TABLE quarantined_records (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  source_id UUID NOT NULL,
  import_run_id UUID,
  record_number BIGINT NOT NULL,         -- 1 is the first record of the file or request
  file_offset BIGINT NOT NULL,
  form TEXT NOT NULL,                    -- RECORD as the mapping reads it, TRANSACTION: JSON as a caller gave it
  raw BYTEA NOT NULL,                    -- the record's bytes (the first 64 KiB of an oversized one)
  raw_hash BYTEA NOT NULL,               -- SHA-256 of all its bytes: the same broken record is held once
  header TEXT,                           -- JSON array: the columns it was read with
  code TEXT NOT NULL, field TEXT, message TEXT NOT NULL,
  state TEXT NOT NULL,                   -- OPEN RETRIED DISMISSED
  correction TEXT,                       -- JSON array of the transactions taken in its place
  resolved_by UUID, resolved_at BIGINT, note TEXT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, source_id, raw_hash),
  FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id)
);
CREATE INDEX quarantined_records_state ON quarantined_records (tenant_id, state, source_id);

CREATE TABLE settlements (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  contract_id UUID NOT NULL,
  partner_id UUID NOT NULL,
  currency TEXT NOT NULL,
  period_start BIGINT NOT NULL, period_end BIGINT NOT NULL,
  state TEXT NOT NULL,                   -- OPEN CLOSED
  total BIGINT,                          -- minor units; frozen at the close, like what follows
  carried_base TEXT,                     -- JSON object: class (empty for the total) to accounting units
  carried_amount BIGINT,                 -- minor units, below the minimum payout
  transaction_count BIGINT,
  closed_at BIGINT, closed_by UUID,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, contract_id, currency, period_start),
  FOREIGN KEY (tenant_id, contract_id) REFERENCES contracts (tenant_id, id),
  FOREIGN KEY (tenant_id, partner_id) REFERENCES partners (tenant_id, id)
);
CREATE INDEX settlements_partner ON settlements (tenant_id, partner_id);

CREATE TABLE accruals (
  tenant_id UUID NOT NULL, settlement_id UUID NOT NULL,
  version BIGINT NOT NULL,               -- of the contract
  rate_class TEXT NOT NULL,
  kind TEXT NOT NULL,                    -- a transaction kind, or ADJUSTMENT_ and the base it moves
  late BOOLEAN NOT NULL,                 -- fed after the settlement closed: it becomes corrections
  amount BIGINT NOT NULL,                -- accounting units
  units BIGINT NOT NULL,
  transactions BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, settlement_id, version, rate_class, kind, late),
  FOREIGN KEY (tenant_id, settlement_id) REFERENCES settlements (tenant_id, id)
);

CREATE TABLE settlement_lines (          -- of closed settlements; an open one's are computed when read
  tenant_id UUID NOT NULL, settlement_id UUID NOT NULL, position BIGINT NOT NULL,
  code TEXT NOT NULL,
  version BIGINT NOT NULL,
  rate_class TEXT,
  base BIGINT,                           -- accounting units
  rate TEXT,                             -- percent, decimal
  amount BIGINT NOT NULL,                -- minor units
  corrects UUID,                         -- the closed settlement that this line repairs
  PRIMARY KEY (tenant_id, settlement_id, position),
  FOREIGN KEY (tenant_id, settlement_id) REFERENCES settlements (tenant_id, id)
);
CREATE INDEX settlement_lines_corrects ON settlement_lines (tenant_id, corrects);

CREATE TABLE ledger_accounts (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  code TEXT NOT NULL,                    -- ACCRUED PAYABLE RECEIVABLE CARRIED SETTLEMENT_RESULT …
  partner_id UUID NOT NULL,              -- all zero for the tenant's own accounts
  currency TEXT NOT NULL,
  balance BIGINT NOT NULL,               -- minor units, debit positive
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, code, partner_id, currency)
);

CREATE TABLE ledger_books (              -- one settlement's place in the ledger: what is posted, and whether it is closed
  tenant_id UUID NOT NULL, settlement_id UUID NOT NULL,
  posted BIGINT NOT NULL,                -- minor units accrued so far
  closed BOOLEAN NOT NULL,
  PRIMARY KEY (tenant_id, settlement_id),
  FOREIGN KEY (tenant_id, settlement_id) REFERENCES settlements (tenant_id, id)
);

CREATE TABLE ledger_entries (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  settlement_id UUID NOT NULL,
  reason TEXT NOT NULL,                  -- TRUE_UP CLOSE
  posted_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, settlement_id) REFERENCES settlements (tenant_id, id)
);
CREATE INDEX ledger_entries_settlement ON ledger_entries (tenant_id, settlement_id);

CREATE TABLE ledger_legs (
  tenant_id UUID NOT NULL, entry_id UUID NOT NULL, position BIGINT NOT NULL,
  account_id UUID NOT NULL,
  amount BIGINT NOT NULL,                -- minor units, debit positive
  PRIMARY KEY (tenant_id, entry_id, position),
  FOREIGN KEY (tenant_id, entry_id) REFERENCES ledger_entries (tenant_id, id),
  FOREIGN KEY (tenant_id, account_id) REFERENCES ledger_accounts (tenant_id, id)
);
CREATE INDEX ledger_legs_account ON ledger_legs (tenant_id, account_id);
