-- wrk script of serverbench: writes wrk's exact figures as JSON when the load is over.
--
-- SERVERBENCH_WRK_JSON       where to write; unset for a warm-up, whose figures nobody keeps
-- SERVERBENCH_WRK_METHOD     HTTP method, if it is not GET
-- SERVERBENCH_WRK_BODY_FILE  file with the request's body, if it has one
--
-- Only `done` is a hook. wrk calls Lua for each request as soon as a script defines `request` or
-- `response`, so neither is here: the request is built once, from wrk.method and wrk.body.

local method = os.getenv("SERVERBENCH_WRK_METHOD")
if method then
  wrk.method = method
end

local body_file = os.getenv("SERVERBENCH_WRK_BODY_FILE")
if body_file then
  local file = assert(io.open(body_file, "rb"))
  wrk.body = file:read("*a")
  file:close()
end

-- JSON knows neither NaN nor infinity: what cannot be told is null, never 0.
local function number(value, digits)
  if value ~= value or value == math.huge or value == -math.huge then
    return "null"
  end
  return string.format("%." .. digits .. "f", value)
end

local output = os.getenv("SERVERBENCH_WRK_JSON")
if output then
  function done(summary, latency, requests)
    -- wrk gives microseconds. Its histogram is empty, and would say 0, when nothing was answered or
    -- each answer took longer than the time-out.
    local function ms(value)
      if latency.max == 0 then
        return "null"
      end
      return number(value / 1000, 3)
    end
    local errors = summary.errors
    local seconds = summary.duration / 1e6
    local text = table.concat({
      '{"requests": ', number(summary.requests, 0),
      ', "duration_s": ', number(seconds, 6),
      ', "rps": ', number(seconds > 0 and summary.requests / seconds or 0, 4),
      ', "bytes": ', number(summary.bytes, 0),
      ', "latency_ms": {"mean": ', ms(latency.mean),
      ', "stdev": ', ms(latency.stdev),
      ', "min": ', ms(latency.min),
      ', "p50": ', ms(latency:percentile(50)),
      ', "p75": ', ms(latency:percentile(75)),
      ', "p90": ', ms(latency:percentile(90)),
      ', "p99": ', ms(latency:percentile(99)),
      ', "p999": ', ms(latency:percentile(99.9)),
      ', "max": ', ms(latency.max),
      '}, "errors": {"connect": ', number(errors.connect, 0),
      ', "read": ', number(errors.read, 0),
      ', "write": ', number(errors.write, 0),
      ', "timeout": ', number(errors.timeout, 0),
      ', "status": ', number(errors.status, 0),
      "}}\n",
    })
    -- Under another name first: a runner that finds the file finds all of it.
    local file = assert(io.open(output .. ".new", "w"))
    assert(file:write(text))
    assert(file:close())
    assert(os.rename(output .. ".new", output))
  end
end
