--[[
  Brings jobs back to their queue, now or after a delay, the attempt not charged. A job whose cancel was requested ends.

    KEYS and ARGV  as lib/settling.lua says, without `now` and with {channel, origin} for the events and leaseMs; the
                   third is JSON {delayMs, reason?}, `reason` being {code, message} as JSON text; a delay in
                   milliseconds, or nothing, as older callers say it

  Billed for one job: 7.
]]
--- @include "lib/requeueing"

local answers = settleLeases({ released = true, cancelled = true }, function(job, third)
  local releasing = third:sub(1, 1) == '{' and cjson.decode(third) or { delayMs = tonumber(third) or 0 }
  local attempts = job.state.attempts
  -- Only the newest is shown, and a job may be given back over and over.
  for _, attempt in ipairs(attempts) do attempt.reason = nil end
  attempts[#attempts].reason = releasing.reason
  job.state.attempt = job.state.attempt - 1
  requeue(job, 'released', now + releasing.delayMs)
end)
writeReturns()
return { billed, answers }
