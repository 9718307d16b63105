from flask import Flask

app = Flask(__name__)


@app.get("/")
def page():
    return "<h1>first words</h1>"
