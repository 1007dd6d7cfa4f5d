-- Running totals by player, of versions with a ring-fence only.

CREATE TABLE player_accruals (
  tenant_id UUID NOT NULL, settlement_id UUID NOT NULL,
  version BIGINT NOT NULL,               -- of the contract
  player BYTEA NOT NULL,                 -- the pseudonym
  kind TEXT NOT NULL,                    -- as in accruals
  late BOOLEAN NOT NULL,                 -- fed after the settlement closed: it becomes corrections
  amount BIGINT NOT NULL,                -- accounting units
  PRIMARY KEY (tenant_id, settlement_id, version, player, kind, late),
  FOREIGN KEY (tenant_id, settlement_id) REFERENCES settlements (tenant_id, id)
);
