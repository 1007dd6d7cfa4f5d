-- What is paid beforehand under contracts, and the balances with which contracts move in.

CREATE TABLE contract_funds (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  contract_id UUID NOT NULL,
  currency TEXT NOT NULL,
  kind TEXT NOT NULL,                    -- ADVANCE CREDIT SUPPLIER_BALANCE
  opening BOOLEAN NOT NULL,              -- moved in with the contract: paid before Saldo was there
  amount BIGINT NOT NULL,                -- minor units: paid; face value bought; what the supplier says is left
  cost BIGINT NOT NULL,                  -- minor units: what credit cost; 0 for the others
  happened_on TEXT NOT NULL,             -- a date
  note TEXT NOT NULL,
  created_at BIGINT NOT NULL, created_by UUID,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, contract_id) REFERENCES contracts (tenant_id, id)
);
CREATE INDEX contract_funds_contract ON contract_funds (tenant_id, contract_id);

CREATE TABLE opening_balances (
  tenant_id UUID NOT NULL, contract_id UUID NOT NULL, currency TEXT NOT NULL,
  carry TEXT NOT NULL,                   -- JSON: what is carried into the first settlement
  created_at BIGINT NOT NULL, created_by UUID,
  PRIMARY KEY (tenant_id, contract_id, currency),
  FOREIGN KEY (tenant_id, contract_id) REFERENCES contracts (tenant_id, id)
);
