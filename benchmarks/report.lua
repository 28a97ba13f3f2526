-- Prints what wrk measured as one line of JSON, the last of its output.

done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local line = '{"requests": %d, "octets": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}\n'
  io.write(string.format(line, summary.requests, summary.bytes, summary.duration / 1e6,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, failed))
end
