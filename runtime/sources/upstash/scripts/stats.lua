--[[
  Counts the jobs of each queue.

    KEYS[1]  timetable
    KEYS[…]  list and ready queue of each worker, in the order of ARGV
    ARGV[…]  workers

  Answers {commands billed, {worker, queued, delayed, running, failed, age of the oldest in ms (-1: none) for each}}.
  Billed: 3, and 2 for each worker.
]]
--- @include "lib/clock"
--- @include "lib/moments"

-- What waits beyond these is counted, but not asked for its age.
local MOST_READ = 10000
local now = serverTime()
local delayed, running, failed = {}, {}, {}

local entries = call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for place = 1, #entries, 2 do
  local worker, _, token = string.match(entries[place], '^([^:]+):([^:]+):?(.*)$')
  local counts = token == '' and delayed or unitsOf(tonumber(entries[place + 1])) == FAILED and failed or running
  counts[worker] = (counts[worker] or 0) + 1
end

local answers = {}
for place, worker in ipairs(ARGV) do
  local pushed = call('LLEN', KEYS[2 * place])
  local waiting = call('ZRANGE', KEYS[2 * place + 1], 0, MOST_READ - 1)
  local count, oldest = #waiting, nil
  if count == MOST_READ then count = call('ZCARD', KEYS[2 * place + 1]) end
  for _, member in ipairs(waiting) do
    local arrived = tonumber(string.match(member, '^%d+'))
    oldest = math.min(oldest or arrived, arrived)
  end
  answers[place] = {
    worker, count + pushed, delayed[worker] or 0, running[worker] or 0, failed[worker] or 0,
    oldest and math.max(0, now - math.floor(oldest / 1000)) or -1
  }
end
return { billed, answers }
