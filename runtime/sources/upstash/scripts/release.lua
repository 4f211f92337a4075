--[[
  Brings jobs back to their queue, now or after a delay, the attempt not charged. A job whose cancel was requested ends.

    KEYS and ARGV  as lib/settling.lua says, without `now` and with {channel, origin} for the events and leaseMs; the
                   third is the delay in milliseconds, or empty

  Billed for one job: 7.
]]
--- @include "lib/requeueing"

local answers = settleLeases({ released = true, cancelled = true }, function(job, delayMs)
  job.state.attempt = job.state.attempt - 1
  requeue(job, 'released', now + (tonumber(delayMs) or 0))
end)
writeReturns()
return { billed, answers }
