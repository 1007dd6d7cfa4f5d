-- Business calendars, and when what a settlement owes is due.

CREATE TABLE business_calendars (
  tenant_id UUID NOT NULL,
  code TEXT NOT NULL,                    -- such as KR
  name TEXT NOT NULL,
  weekend TEXT NOT NULL,                 -- JSON: days of the week
  holidays TEXT NOT NULL,                -- JSON: dates with names
  revision BIGINT NOT NULL,              -- counts each save
  changed_at BIGINT NOT NULL, changed_by UUID,
  PRIMARY KEY (tenant_id, code),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

-- A date, frozen at the close; NULL where nothing is agreed.
ALTER TABLE settlements ADD COLUMN due_on TEXT;
