-- Load for wrk: photographs in turn, each request different from all others.
--
--   wrk -t1 -c8 -d5s --latency -s load.lua URL -- LIST RUN MODE
--
-- LIST is a file with the path of one photograph a line, RUN eight characters that no other run
-- uses. MODE "unique" appends RUN and a counter to each photograph: bytes after a JPEG's end marker
-- change nothing for a decoder, but no cache has seen them before. MODE "repeat" sends the
-- photographs as they are, over and over. MODE "json" is for files that hold all of a JSON object
-- but the end of its last string, in base64: digits are base64 too, and then the object ends.

local SUFFIX = 16

local requests = {}
local unique = true
local run = ""
local count = 0
local tail = ""

function init(arguments)
  local mode, kind = arguments[3], "image/jpeg"
  run, unique = arguments[2], mode ~= "repeat"
  if mode == "json" then
    kind, tail = "application/json", '"}'
  end
  for path in io.lines(arguments[1]) do
    local file = assert(io.open(path, "rb"))
    local body = file:read("*a")
    file:close()
    if unique then
      body = body .. string.rep("0", SUFFIX) .. tail
    end
    -- Head and photograph are joined once; a request only changes the last bytes.
    local whole = wrk.format("POST", nil, {["Content-Type"] = kind}, body)
    requests[#requests + 1] = unique and whole:sub(1, -SUFFIX - #tail - 1) or whole
  end
end

function request()
  count = count + 1
  local whole = requests[(count - 1) % #requests + 1]
  return unique and whole .. string.format("%s%08d", run, count) .. tail or whole
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "duration_s": %.6f, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f, ' ..
    '"errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
