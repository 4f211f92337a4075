-- Each inner call is billed as a command of its own: every script makes its calls through here and answers their number.
local billed = 1

local function call(...)
  billed = billed + 1
  return redis.call(...)
end

-- A command whose list of keys does not end it.
local function callWith(command, keys, ...)
  local words = { command, #keys }
  for _, key in ipairs(keys) do words[#words + 1] = key end
  for _, word in ipairs({ ... }) do words[#words + 1] = word end
  return call(unpack(words))
end
