-- Mail that waits to be sent, in the transaction that decided on it, and the language that a member reads.

ALTER TABLE members ADD COLUMN language TEXT NOT NULL DEFAULT 'EN';   -- EN KO

CREATE TABLE mails (
  tenant_id UUID NOT NULL, id UUID NOT NULL,
  recipient TEXT NOT NULL,               -- the address
  recipient_name TEXT NOT NULL,
  language TEXT NOT NULL,                -- EN KO: the one it is written in
  subject TEXT NOT NULL,
  body BYTEA,                            -- text and HTML, sealed with the master key; gone once it is sent
  created_at BIGINT NOT NULL,
  attempts BIGINT NOT NULL,              -- that began, whether or not they came to an end
  next_at BIGINT,                        -- when the next one is due; absent when there is none
  sent_at BIGINT,                        -- when the server took it
  failed_at BIGINT,                      -- when it was parked: nobody tries any more
  last_error TEXT,                       -- what was said when it last failed
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
); -- keeps its rowid on SQLite: a body has some kilobytes
CREATE INDEX mails_due ON mails (tenant_id, next_at);
