-- Which clause made a line, and what was carried beside bases and money when a settlement closed.

ALTER TABLE settlement_lines ADD COLUMN clause TEXT;
ALTER TABLE settlements ADD COLUMN carried_state TEXT;
