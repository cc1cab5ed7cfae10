-- SimpleCNN, the lecture's first network, on CIFAR-10.
local mascon = require "mascon"
local nn, optim, T = mascon.nn, mascon.optim, mascon.transforms
-- examples/lecture.lua: create_dataloaders, train_step, test_step, train, calculate_performance, plot_loss_curves
local lecture = require "lecture"
local options = require("arguments").read(arg)

mascon.manual_seed(options.seed)
if options.threads > 0 then
  mascon.set_num_threads(options.threads)
end

local SimpleCNN = nn.Module:extend "SimpleCNN"

function SimpleCNN:init(input_shape, hidden_units, output_shape)
  self.conv_block_1 = nn.Sequential(
    nn.Conv2d(input_shape, hidden_units, { kernel_size = 3, padding = 1 }),
    nn.ReLU(),
    nn.Conv2d(hidden_units, hidden_units, { kernel_size = 3, padding = 1 }),
    nn.ReLU(),
    nn.MaxPool2d(2))
  self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(hidden_units * 16 * 16, output_shape))
end

function SimpleCNN:forward(x)
  return self.classifier(self.conv_block_1(x))
end

local loaders, class_names = lecture.create_dataloaders(T.Compose { T.ToTensor() },
  { batch_size = options.batch_size, num_workers = options.workers, root = options.data })
local model = SimpleCNN(3, 10, #class_names):to(mascon.device(options.device))
local results = lecture.train(model, loaders.train, loaders.val,
  optim.Adam(model:parameters(), { lr = options.lr }), nn.CrossEntropyLoss(),
  { epochs = options.epochs, steps = options.steps, autocast = options.autocast })
lecture.plot_loss_curves(results, "Simple CNN"):save(options.out .. "/simple_cnn.svg")
lecture.calculate_performance(model, loaders.test, class_names)
-- For programs that run it without this script: see examples/embed.
mascon.save_model(options.out .. "/simple_cnn.safetensors", model, mascon.zeros { 1, 3, 32, 32 })
