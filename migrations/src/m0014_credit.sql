-- How prepaid credit stood when somebody was told of it last.

CREATE TABLE credit_states (
  tenant_id UUID NOT NULL, contract_id UUID NOT NULL, currency TEXT NOT NULL,
  state TEXT NOT NULL,                   -- ENOUGH LOW EMPTY
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, contract_id, currency),
  FOREIGN KEY (tenant_id, contract_id) REFERENCES contracts (tenant_id, id)
);
