"""Faults that tests plant in plugins, as text."""

# needs `Drawable`; its log q is 3 nats too small
WRONG_Q = """
class Wrong(Drawable):
    def __init__(self, q):
        super().__init__(q.batch_shape, q.event_shape)
        self.q = q

    def draw(self, shape):
        z = self.q.rsample(shape)
        return z, self.q.log_prob(z) - 3

    def centre(self):
        return self.q.mean
"""
