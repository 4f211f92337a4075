--[[
  Brings jobs back to their queue now, the attempt not charged. A job whose cancel was requested ends.

    KEYS and ARGV  as lib/settling.lua says, without `now` and with {channel, origin} for the events and leaseMs; the third is empty

  Billed for one job: 7.
]]
--- @include "lib/requeueing"

local answers = settleLeases({ released = true, cancelled = true }, function(job)
  job.state.attempt = job.state.attempt - 1
  requeue(job, 'released', now)
end)
writeReturns()
return { billed, answers }
