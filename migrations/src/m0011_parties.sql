-- What each party had of a settlement when it closed.

CREATE TABLE settlement_parties (
  tenant_id UUID NOT NULL, settlement_id UUID NOT NULL,
  position BIGINT NOT NULL,              -- in the order of the terms, from 0
  partner_id UUID NOT NULL,
  contract_id UUID NOT NULL,             -- the settlement's, like its currency
  currency TEXT NOT NULL,
  percent TEXT NOT NULL,                 -- as the terms say it
  weight TEXT NOT NULL,                  -- what it is weighed by among the others
  amount BIGINT NOT NULL,                -- minor units; those of a settlement add up to its total
  PRIMARY KEY (tenant_id, settlement_id, position),
  FOREIGN KEY (tenant_id, settlement_id) REFERENCES settlements (tenant_id, id),
  FOREIGN KEY (tenant_id, partner_id) REFERENCES partners (tenant_id, id)
);
CREATE INDEX settlement_parties_partner ON settlement_parties (tenant_id, partner_id, settlement_id);
