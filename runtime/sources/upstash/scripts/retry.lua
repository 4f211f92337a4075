--[[
  Brings jobs back to their queue after a delay; the attempt stays charged. A job whose cancel was requested ends.

    KEYS and ARGV  as lib/settling.lua says, without `now` and with {channel, origin} for the events and leaseMs;
                   the third is JSON {error, delayMs} with the error report as JSON in it

  Billed for one job: 7.
]]
--- @include "lib/requeueing"

local answers = settleLeases({ retried = true, cancelled = true }, function(job, ending)
  ending = cjson.decode(ending)
  requeue(job, 'retried', now + ending.delayMs, ending.error)
end)
writeReturns()
return { billed, answers }
