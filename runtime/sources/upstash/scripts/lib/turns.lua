--- @include "call"
--- @include "records"

-- Users take turns, by start-time fair queueing: a job's turn is one later than its user's last one, and never
-- earlier than the turn that is being served, so that who comes new is served with the others and not after them. The
-- order is decided once, when a job arrives; taking it is taking the first.
--
-- A score of a ready queue is a block of 2^42 turns for each priority, the highest first, and the turn in it. Turns
-- begin at the clock's milliseconds, so that those of a queue that was empty in between follow each other.
--
-- The hash of a queue's turns has, for each priority, `<priority>`: the turn that is being served, and
-- `<priority>:<user>`: the user's last turn. What is parked is served by others, at a turn of its own: that is
-- `<priority>::<type>:<model>`, as long as something with this need is parked. The hash is deleted whenever its queue
-- becomes empty, with nothing parked.
local BLOCK = 2 ^ 42
local HIGHEST_PRIORITY = 100

local function scoreOfTurn(priority, turn)
  return (HIGHEST_PRIORITY - priority) * BLOCK + turn
end

local function priorityOf(score)
  return HIGHEST_PRIORITY - math.floor(score / BLOCK)
end

local function turnOf(score)
  return score % BLOCK
end

local function readTurns(turnsKey, fields)
  local turns = {}
  for place, value in ipairs(call('HMGET', turnsKey, unpack(fields))) do
    turns[fields[place]] = value and tonumber(value) or nil
  end
  return turns
end

local function writeTurns(turnsKey, turns)
  local pairsToWrite = {}
  for field, turn in pairs(turns) do
    pairsToWrite[#pairsToWrite + 1] = field
    pairsToWrite[#pairsToWrite + 1] = string.format('%.0f', turn)
  end
  call('HSET', turnsKey, unpack(pairsToWrite))
end

local function needField(priority, jobType, model)
  return priority .. '::' .. jobType .. ':' .. model
end

-- Gives each state, in this order, its turn among what waits.
local function assignTurns(turnsKey, states, now)
  local fields, known = {}, {}
  local function fieldsOf(state)
    return tostring(state.priority), state.priority .. ':' .. state.user,
      needField(state.priority, offeredType(state), state.model or '')
  end
  for _, state in ipairs(states) do
    for _, field in ipairs({ fieldsOf(state) }) do
      if not known[field] then
        known[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  local turns = readTurns(turnsKey, fields)
  for _, state in ipairs(states) do
    local served, own, need = fieldsOf(state)
    turns[served] = turns[served] or now
    turns[own] = math.max(turns[need] or turns[served], (turns[own] or 0) + 1)
    state.score = string.format('%.0f', scoreOfTurn(state.priority, turns[own]))
  end
  writeTurns(turnsKey, turns)
end

-- Notes what is being served: `served` has the latest turn of what was taken, by field; `parked` the first turn of what
-- was parked, which is where the turns of such a need begin.
local function advanceTurns(turnsKey, served, parked)
  local fields, turns = {}, {}
  for field in pairs(served) do fields[#fields + 1] = field end
  for field in pairs(parked) do fields[#fields + 1] = field end
  if #fields == 0 then return end
  local known = readTurns(turnsKey, fields)
  for field, turn in pairs(parked) do turns[field] = known[field] or turn end
  -- A job that came back with an old turn does not set the clock back.
  for field, turn in pairs(served) do turns[field] = math.max(turn, known[field] or 0) end
  writeTurns(turnsKey, turns)
end

-- A job that is withdrawn before it was taken does not count against its user.
local function giveTurnBack(turnsKey, state)
  local own = state.priority .. ':' .. state.user
  local last = readTurns(turnsKey, { own })[own]
  if last then writeTurns(turnsKey, { [own] = last - 1 }) end
end
