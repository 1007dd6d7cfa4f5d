-- The second wall between tenants, on PostgreSQL alone: whatever a query forgets, a transaction sees and writes rows of
-- the tenant that it has bound (`SET LOCAL app.tenant`), and none where it has bound none. The owner of the tables is
-- no exception. After a committed SET LOCAL the setting is an empty text and not NULL.

DO $$
DECLARE
  name text;
  bound CONSTANT text := $bound$nullif(current_setting('app.tenant', true), '')::uuid$bound$;
BEGIN
  FOR name IN
    SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id'
    WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace ORDER BY relname
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = %s) WITH CHECK (tenant_id = %s)', name, bound, bound);
  END LOOP;
  -- Who signs in names a tenant that is not bound yet; what is changed of it is its own.
  ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
  ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
  CREATE POLICY listed ON tenants FOR SELECT USING (true);
  CREATE POLICY added ON tenants FOR INSERT WITH CHECK (true);
  EXECUTE format('CREATE POLICY changed ON tenants FOR UPDATE USING (id = %s) WITH CHECK (id = %s)', bound, bound);
END
$$;
