-- Load for wrk: photographs in turn, each request different from all others.
--
--   wrk -t1 -c8 -d5s --latency -s load.lua URL -- LIST RUN MODE
--
-- LIST is a file with the path of one photograph a line, RUN eight characters that no other run
-- uses. MODE "unique" appends RUN and a counter to each photograph: bytes after a JPEG's end marker
-- change nothing for a decoder, but no cache has seen them before. MODE "repeat" sends the
-- photographs as they are, over and over.

local bodies = {}
local unique = true
local run = ""
local count = 0

function init(arguments)
  local list
  list, run, unique = arguments[1], arguments[2], arguments[3] == "unique"
  for path in io.lines(list) do
    local file = assert(io.open(path, "rb"))
    local body = file:read("*a")
    file:close()
    -- Head and photograph are joined once; a request appends 16 bytes or nothing.
    local length = unique and #body + 16 or #body
    bodies[#bodies + 1] = wrk.format("POST", nil, {
      ["Content-Type"] = "image/jpeg",
      ["Content-Length"] = length,
    }) .. body
  end
end

function request()
  count = count + 1
  local body = bodies[(count - 1) % #bodies + 1]
  if unique then
    return body .. string.format("%s%08d", run, count)
  end
  return body
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "duration_s": %.6f, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f, ' ..
    '"max_ms": %.3f, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
