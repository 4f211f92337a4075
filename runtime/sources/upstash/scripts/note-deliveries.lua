--[[
  Keeps how far the delivery of finished jobs has come. What the caller does not hold any more is left as it is.

    ARGV[1]  JSON {jobPrefix}
    ARGV[2…] for each lease: job id, token, the note as JSON

  Answers {commands billed, how many were kept}.
  Billed: 3.
]]
--- @include "lib/records"

local settings = cjson.decode(ARGV[1])
local ids, changed = {}, {}
for place = 2, #ARGV, 3 do ids[#ids + 1] = ARGV[place] end
local jobs = readRecords(settings.jobPrefix, ids)
for place, id in ipairs(ids) do
  local job, token = jobs[id], ARGV[3 * place]
  if job and job.state.status == 'running' and job.state.token == token then
    job.state.delivery = { token = token, note = ARGV[3 * place + 1] }
    changed[#changed + 1] = settings.jobPrefix .. id
    changed[#changed + 1] = formatRecord(job)
  end
end
if #changed > 0 then call('MSET', unpack(changed)) end
return { billed, #changed / 2 }
