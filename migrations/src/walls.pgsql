-- Raises the second wall (see m0006_walls.pgsql) in front of tables of tenants that came since.

DO $$
DECLARE
  name text;
  bound CONSTANT text := $bound$nullif(current_setting('app.tenant', true), '')::uuid$bound$;
BEGIN
  FOR name IN
    SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id'
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND NOT relrowsecurity
      AND relnamespace = current_schema()::regnamespace ORDER BY relname
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON %I USING (tenant_id = %s) WITH CHECK (tenant_id = %s)', name, bound, bound);
  END LOOP;
END
$$;
