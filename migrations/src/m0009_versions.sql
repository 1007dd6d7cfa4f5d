-- The life of a contract's version: who wrote, tested, approved and activated it, and what took its place. What the
-- tenant asks of an approval, stored test cases, and templates.

ALTER TABLE contract_versions ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;  -- counts each save of the draft
ALTER TABLE contract_versions ADD COLUMN changed_at BIGINT;            -- the last save; none before there was another
ALTER TABLE contract_versions ADD COLUMN changed_by UUID;              -- who saved it last; none for the operator
ALTER TABLE contract_versions ADD COLUMN tested_at BIGINT;             -- when this revision passed its test cases
ALTER TABLE contract_versions ADD COLUMN approved_at BIGINT;           -- when this revision was approved
ALTER TABLE contract_versions ADD COLUMN replaces BIGINT;              -- the version whose place it takes
ALTER TABLE contract_versions ADD COLUMN replaced_at BIGINT;           -- since when another one has its place
ALTER TABLE contract_versions ADD COLUMN replaced_by BIGINT;

CREATE TABLE contract_version_steps (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  contract_id UUID NOT NULL, version BIGINT NOT NULL,
  kind TEXT NOT NULL,                    -- CREATED SAVED TESTED TEST_FAILED APPROVED REJECTED ACTIVATED REPLACED
  revision BIGINT NOT NULL,
  member_id UUID,                        -- none for the operator
  made_at BIGINT NOT NULL,
  note TEXT,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, contract_id, version) REFERENCES contract_versions (tenant_id, contract_id, version)
);
CREATE INDEX contract_version_steps_version ON contract_version_steps (tenant_id, contract_id, version, id);

CREATE TABLE contract_policies (
  tenant_id UUID NOT NULL,
  approval TEXT NOT NULL,                -- NONE SECOND_PERSON
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE contract_test_cases (
  tenant_id UUID NOT NULL, contract_id UUID NOT NULL, name TEXT NOT NULL,
  body TEXT NOT NULL,                    -- JSON: facts, what is carried in, what is expected
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, contract_id, name),
  FOREIGN KEY (tenant_id, contract_id) REFERENCES contracts (tenant_id, id)
);

CREATE TABLE contract_templates (
  tenant_id UUID NOT NULL, name TEXT NOT NULL,
  terms TEXT NOT NULL,                   -- JSON, in the shape of contract_versions.terms
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, name),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);
