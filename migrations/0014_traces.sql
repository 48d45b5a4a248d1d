-- W3C Trace Context: the trace that the build belongs to, and the span that has asked for it. The build's own span has
-- the last 16 digits of the build's id; where that is what stands here, nobody has asked within a trace. Null in builds
-- that are older than this column.
alter table build_audit add column traceparent text
  check (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$');
