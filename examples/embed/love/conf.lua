-- Settings of the window. With --picture FILE there is none: the program answers and ends.
function love.conf(t)
  t.identity = "mascon_recognise"
  t.window.title = "Draw something"
  t.window.width, t.window.height = 480, 540
  for _, word in ipairs(arg or {}) do
    if word == "--picture" then
      t.modules.window, t.modules.graphics, t.modules.mouse, t.modules.audio = false, false, false, false
    end
  end
end
