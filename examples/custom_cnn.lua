-- CustomCNN, the lecture's second network, on CIFAR-10: deeper, with batch normalisation and dropout.
-- Writes custom_cnn_sample.svg, custom_cnn.svg (the curves) and custom_cnn_confusion.svg to --out.
local mascon = require "mascon"
local nn, optim, T = mascon.nn, mascon.optim, mascon.transforms
local lecture = require "lecture"
local options = require("arguments").read(arg)

mascon.manual_seed(options.seed)
if options.threads > 0 then
  mascon.set_num_threads(options.threads)
end

local CustomCNN = nn.Module:extend "CustomCNN"

--- Two convolutions, then half the size. The order is the lecture's: convolution, ReLU, normalisation.
local function conv_block(channels_in, channels)
  return nn.Sequential(
    nn.Conv2d(channels_in, channels, { kernel_size = 3, padding = 1 }),
    nn.ReLU(),
    nn.BatchNorm2d(channels),
    nn.Conv2d(channels, channels, { kernel_size = 3, padding = 1 }),
    nn.ReLU(),
    nn.BatchNorm2d(channels),
    nn.MaxPool2d(2),
    nn.Dropout { p = 0.25 })
end

function CustomCNN:init(input_shape, output_shape)
  self.conv_block_1 = conv_block(input_shape, 32)
  self.conv_block_2 = conv_block(32, 64)
  self.conv_block_3 = conv_block(64, 128)
  self.conv_block_4 = conv_block(128, 256)
  self.classifier = nn.Sequential(
    nn.Flatten(),
    nn.Linear(256 * 2 * 2, 512),
    nn.ReLU(),
    nn.BatchNorm1d(512),
    nn.Dropout { p = 0.5 },
    nn.Linear(512, 1024),
    nn.ReLU(),
    nn.BatchNorm1d(1024),
    nn.Dropout { p = 0.5 },
    nn.Linear(1024, output_shape))
end

function CustomCNN:forward(x)
  x = self.conv_block_1(x)
  x = self.conv_block_2(x)
  x = self.conv_block_3(x)
  x = self.conv_block_4(x)
  return self.classifier(x)
end

local loaders, class_names = lecture.create_dataloaders(T.Compose { T.ToTensor() },
  { batch_size = options.batch_size, num_workers = options.workers, root = options.data })
local X, y = lecture.first_batch(loaders.train)
lecture.plot_sample(X, y, class_names):save(options.out .. "/custom_cnn_sample.svg")

local model = CustomCNN(3, #class_names):to(mascon.device(options.device))
local results = lecture.train(model, loaders.train, loaders.val,
  optim.Adam(model:parameters(), { lr = options.lr }), nn.CrossEntropyLoss(),
  { epochs = options.epochs, steps = options.steps, autocast = options.autocast })
lecture.plot_loss_curves(results, "Custom CNN"):save(options.out .. "/custom_cnn.svg")
local _, _, _, _, heat_map = lecture.calculate_performance(model, loaders.test, class_names, "Custom CNN")
heat_map:save(options.out .. "/custom_cnn_confusion.svg")
