-- Draw with the mouse; a network says what it sees. The model is one of mascon.save_model that takes
-- {N, 3, 32, 32}, such as examples/simple_cnn.lua writes.
--
--   MASCON_LIBRARY=.../libmascon.so love examples/embed/love --model simple_cnn.safetensors
--   ... --picture cat.png     asks for a file instead, without a window
local library = os.getenv "MASCON_LIBRARY" or "libmascon.so"
local SIZE, CELL = 32, 15

local options = {}
local mascon, canvas, thread, questions, answers, verdict, waiting

local classes = { "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck" }

local function read_options(words)
  for i = 1, #words, 2 do
    local name = words[i]:match "^%-%-(%a+)$"
    if (name ~= "model" and name ~= "picture") or not words[i + 1] then
      error("usage: love examples/embed/love --model FILE [--picture FILE]", 0)
    end
    options[name] = words[i + 1]
  end
  if not options.model then
    error("--model FILE is missing: a file of mascon.save_model", 0)
  end
end

--- Gives a picture to the thread; the answer comes later.
local function ask(x)
  questions:push(x:share())
  waiting = true
end

local function take_answer()
  local answer = answers:pop()
  if answer then
    waiting = false
    verdict = ("%s (%.0f %%)"):format(classes[answer.class] or answer.class, 100 * answer.probability)
  end
  return answer
end

function love.load(words)
  read_options(words)
  package.preload.mascon = assert(package.loadlib(library, "luaopen_mascon"))
  mascon = require "mascon"
  questions, answers = love.thread.getChannel "questions", love.thread.getChannel "answers"
  thread = love.thread.newThread "recognise.lua"
  thread:start(library, options.model)
  if options.picture then
    local picture = mascon.image.resize(mascon.image.read(options.picture, { channels = 3 }), { SIZE, SIZE })
    ask((picture:to "float32" / 255):unsqueeze(1))
  else
    canvas = mascon.zeros { 1, 3, SIZE, SIZE }
  end
end

function love.threaderror(_, message)
  error(message, 0)
end

function love.update()
  local answer = take_answer()
  if options.picture then
    if answer then
      print(verdict)
      love.event.quit()
    end
    return
  end
  if love.mouse.isDown(1) then
    local column, row = math.floor(love.mouse.getX() / CELL) + 1, math.floor(love.mouse.getY() / CELL) + 1
    if row >= 1 and row <= SIZE and column >= 1 and column <= SIZE then
      canvas[{ 1, { 1, 3 }, row, column }] = 1
      if not waiting then
        ask(canvas:clone()) -- a copy: the drawing goes on while the thread reads
      end
    end
  end
end

function love.draw()
  local pixels = canvas[{ 1, 1 }]:totable()
  for row = 1, SIZE do
    for column = 1, SIZE do
      if pixels[row][column] > 0 then
        love.graphics.rectangle("fill", (column - 1) * CELL, (row - 1) * CELL, CELL, CELL)
      end
    end
  end
  love.graphics.print(verdict or "draw with the mouse; space clears", 10, SIZE * CELL + 20)
end

function love.keypressed(key)
  if key == "space" then
    canvas:zero_()
    verdict = nil
  elseif key == "escape" then
    love.event.quit()
  end
end

function love.quit()
  if questions then
    questions:push "stop"
  end
end
