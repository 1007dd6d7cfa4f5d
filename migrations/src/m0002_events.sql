-- What changed, in the order in which it was committed: those who follow a tenant read it from here.

CREATE TABLE event_heads (               -- the counter of a tenant's events: a row that its changes lock last
  tenant_id UUID NOT NULL,
  sequence BIGINT NOT NULL,              -- of the newest event
  pruned BIGINT NOT NULL,                -- of the newest event that is gone; who stands before it has missed something
  PRIMARY KEY (tenant_id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE events (
  tenant_id UUID NOT NULL, sequence BIGINT NOT NULL,   -- 1, 2, 3 …: no gap, whatever is rolled back
  kind TEXT NOT NULL,                    -- SETTLEMENT_UPDATED ACCESS_CHANGED
  subject_id UUID NOT NULL,              -- the settlement; the member or API key
  partner_id UUID,                       -- whose users may hear of it
  occurred_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, sequence),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);
