-- The thread that recognises: it has a Lua state of its own, waits for a number on its channel, and answers
-- with the class and its probability. The frame rate of the game does not depend on it.
local library, model_path = ...
local questions, answers = love.thread.getChannel "questions", love.thread.getChannel "answers"

package.preload.mascon = assert(package.loadlib(library, "luaopen_mascon"))
local mascon = require "mascon"
local model = mascon.load_model(model_path)

while true do
  local number = questions:demand()
  if number == "stop" then
    break
  end
  mascon.scope(function()
    -- the tensor itself comes over, not a copy: both states see the same memory
    local x = mascon.from_shared(number)
    local probability, class = mascon.softmax(model(x), 2):max(2)
    answers:push { class = class:item(), probability = probability:item() }
  end)
end
