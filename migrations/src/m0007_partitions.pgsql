-- Transactions by the month in which they were recorded, on PostgreSQL alone. An id begins with that time, so that the
-- primary key stays what it is and a look-up by id touches one partition. `partitions.rs` makes the months; what
-- belongs to none of them goes into the default partition, so that nothing is ever refused for want of one.
--
-- A row names its source and its block without a foreign key here: to check the two cost half of what an insert does,
-- row by row. The block is written in the same transaction, names its source with a foreign key, and neither is ever
-- removed: the server's role may not. What a case of the detector names may be in an archive.

DO $$
DECLARE
  fk record;
BEGIN
  FOR fk IN SELECT conname, conrelid::regclass AS of FROM pg_constraint WHERE confrelid = 'transactions'::regclass LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', fk.of, fk.conname);
  END LOOP;
END
$$;

-- The owner is no exception to the policies, and has to see all rows to move them.
ALTER TABLE transactions NO FORCE ROW LEVEL SECURITY;
ALTER TABLE transactions RENAME TO transactions_before;
ALTER TABLE transactions_before RENAME CONSTRAINT transactions_pkey TO transactions_before_pkey;

CREATE TABLE transactions (LIKE transactions_before, PRIMARY KEY (tenant_id, id)) PARTITION BY RANGE (id);
CREATE TABLE transactions_other PARTITION OF transactions DEFAULT;
INSERT INTO transactions SELECT * FROM transactions_before;
DROP TABLE transactions_before;

-- What has no score yet cannot go into an archive.
ALTER TABLE unscored NO FORCE ROW LEVEL SECURITY;
ALTER TABLE unscored ADD CONSTRAINT unscored_tenant_id_transaction_id_fkey
  FOREIGN KEY (tenant_id, transaction_id) REFERENCES transactions (tenant_id, id);
ALTER TABLE unscored FORCE ROW LEVEL SECURITY;

DO $$
DECLARE
  name text;
  bound CONSTANT text := $bound$nullif(current_setting('app.tenant', true), '')::uuid$bound$;
BEGIN
  FOREACH name IN ARRAY ARRAY['transactions', 'transactions_other'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = %s) WITH CHECK (tenant_id = %s)', name, bound, bound);
  END LOOP;
END
$$;
