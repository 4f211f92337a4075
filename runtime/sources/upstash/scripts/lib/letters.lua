-- A dead letter: why there is no job in the element, as JSON, a line feed, and the element.
local function headEnd(text)
  return string.find(text, '\n', 1, true) or 0
end

local function headOf(text)
  return cjson.decode(string.sub(text, 1, headEnd(text) - 1))
end

-- What is shown of it.
local function beginningOf(text, keptBytes)
  return string.sub(text, 1, headEnd(text) + keptBytes)
end

-- Names a letter by its beginning and its length: an element may have ten megabytes. Two that are alike have one name.
local function letterId(text, keptBytes)
  return redis.sha1hex(beginningOf(text, keptBytes) .. ':' .. #text)
end
